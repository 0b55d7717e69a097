"""wherry-runtime as its callers use it: one file a feature, each container in a bundle of busybox."""
