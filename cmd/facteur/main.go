// Command facteur is a whole mail server for a personal domain in one binary.
package main

func main() {}
