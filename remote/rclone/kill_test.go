package rclone

var tasks = map[string]func() int{}
