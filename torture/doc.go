// Command torture breaks a running Facteur on purpose and checks that nothing that was acknowledged is lost
// and nothing is doubled: kill -9 under mixed load, a full disk, a read-only disk, thousands of
// connections, slow clients, two servers on one folder, damaged databases. Every scenario is bounded, and
// repeatable with the seed that is printed.
//
// It knows the server only by its protocols, its files and its command line; "facteur verify" is run after
// each scenario. A full and a read-only disk are files with an ext4 in them, which takes root; without it they are
// skipped. What needs the inside (power loss at every step of a write, clock jumps, a slow disk) is
// tested in the rooms' own tests.
package main
