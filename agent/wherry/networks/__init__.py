"""Networks of containers: what exists, who is plugged into what, and the kernel's links, addresses and rules for it."""
