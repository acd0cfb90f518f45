package simulate

import (
	"strconv"
	"strings"

	"facteur/mta"
)

// Fault is what goes wrong with one recipient.
type Fault uint8

const (
	None Fault = iota
	Refuse
	Slow
	Timeout
	Drop
	DropAfterData
)

// FaultOf reads the fault off a local-part, and the reply for Refuse.
func FaultOf(local string) (Fault, *mta.Reply) {
	name, _, _ := strings.Cut(strings.ToLower(local), "+")
	switch name {
	case "slow":
		return Slow, nil
	case "timeout":
		return Timeout, nil
	case "drop":
		return Drop, nil
	case "drop-after-data":
		return DropAfterData, nil
	}
	code, err := strconv.Atoi(name)
	if err != nil || len(name) != 3 || code < 400 || code > 599 {
		return None, nil
	}
	return Refuse, &mta.Reply{Code: code, Enhanced: enhanced(code), Text: "As you wish: " + name}
}

// enhanced is the status code that goes with a code most of the time.
func enhanced(code int) [3]int {
	switch code {
	case 450, 550:
		return [3]int{code / 100, 1, 1}
	case 452, 552:
		return [3]int{code / 100, 2, 2}
	case 421:
		return [3]int{4, 3, 2}
	}
	return [3]int{code / 100, 0, 0}
}
