"""Host link: serial port, frames, commands (`bnnhw.spec.link` is the protocol)."""
