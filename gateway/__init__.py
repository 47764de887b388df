"""Who is asking: identity, enforcement points and live sessions; composes the gateway process."""
