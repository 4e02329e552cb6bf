module testbed.invalid/pause

go 1.25.0
