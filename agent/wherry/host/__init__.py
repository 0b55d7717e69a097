"""The machine: what its kernel can do, how its cgroups are laid out, what it is made of."""
