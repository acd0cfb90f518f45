// Command torture breaks a running Facteur on purpose and checks that nothing that was acknowledged is lost
// and nothing is doubled: kill -9 and power cuts under mixed load, a full disk, a read-only disk, thousands of
// connections, slow clients, two servers on one folder, damaged databases, a day's traffic. Every scenario
// is bounded, and repeatable with the seed that is printed; all together take about twelve minutes.
//
// It knows the server only by its protocols, its files and its command line; "facteur verify" is run after
// each scenario. Disks are files with an ext4 in them, which takes root; without it their scenarios are
// skipped. The crowd meets "facteur serve" with its default limits, all others the demo. What needs the inside
// (power loss at every step of a write, in every octet of SQLite's log, clock jumps, a slow disk) is tested in the
// rooms' own tests.
//
// BUGS: A power cut loses what the file system had not written. What a disk loses that lies about its
// own cache is not simulated.
package main
