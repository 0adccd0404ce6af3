"""What tests of the running exporter share: the daemon, its services and the tools beside it, as real processes."""
