"""BFCL's tasks and simulators: where the default traces come from, and where actions can really be executed."""
