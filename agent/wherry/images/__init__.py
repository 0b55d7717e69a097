"""Images: names, manifests, the store on disk, and what can be done to an image.

``service.Images`` is the door; see docs/internals.md for its signatures. The other files each hold one subject of it.
"""
