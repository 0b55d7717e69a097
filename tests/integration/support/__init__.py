"""What the integration tests share: a private agent, an image of busybox, the check against the API's schema."""
