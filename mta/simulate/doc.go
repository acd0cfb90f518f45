// Package simulate is the bad Internet on your desk: faults by address, sinks, slow peers, for the demo and the tests.
package simulate
