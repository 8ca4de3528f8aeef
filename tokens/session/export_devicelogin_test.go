package session

import "time"

// ForwardDeviceLogin makes the wall clock, and it alone, say that a device login is over.
func ForwardDeviceLogin(d *DeviceLogin) { d.endWall = time.Now().Round(0) }
