"""Laws that run inside the device, without communication."""
