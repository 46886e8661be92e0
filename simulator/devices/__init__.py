"""The register maps of the room's devices, each written from the device family's own documentation."""
