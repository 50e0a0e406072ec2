"""Secret values: the vault, its key file, masking."""
