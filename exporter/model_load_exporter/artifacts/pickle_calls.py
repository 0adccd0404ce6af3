"""Which functions a pickle may call to rebuild its objects, where no list says that they run code.

No list of what is dangerous is complete, so it is asked the other way too: a function that a pickle calls, and that is
neither harmless nor known to rebuild objects, is told. Classes are not: estimators and training states consist of them.
"""

import re

from model_load_exporter.artifacts.pickle_globals import Global, is_harmless

_REBUILD = re.compile(
    r"""(numpy|scipy|sklearn|pandas|pyarrow|polars|xgboost|lightgbm|catboost|torch|torchvision|jax|jaxlib|flax|statsmodels)
        \.[\w.]*?\.?_*(newObj|new_\w+|\w*unpickle\w*|\w*reconstruct\w*|\w*_ctor|_?restore_\w+|rebuild_\w+|type_for_alias)
    |[\w.]+\.__pyx_unpickle_\w+|(tensorflow|keras)\.[\w.]*\.as_dtype|zoneinfo\.ZoneInfo\._unpickle
    |re\._compile|array\.(array|_array_reconstructor)|(copyreg|copy_reg)\.__newobj(_ex)?__
    |(builtins|__builtin__)\.(iter|reversed|enumerate|zip)|numpy\.ma\.core\.\w+|_codecs\.encode""",
    re.VERBOSE,
)


def is_odd(name: Global) -> bool:
    """True for a function, told from a class by its small first letter, that rebuilds no object as far as is known."""
    last = name.name.rpartition(".")[2].lstrip("_")
    return last[:1].islower() and not is_harmless(name) and _REBUILD.fullmatch(str(name)) is None
