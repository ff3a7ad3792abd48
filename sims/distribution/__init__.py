"""One DSO: its feeders as arrays, tap changers, switching and metering."""
