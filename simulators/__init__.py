"""Physics: one folder a field, each simulator bound to the contract of `jaxastro.core`."""
