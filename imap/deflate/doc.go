// Package deflate inflates a stream as it arrives. The reader of compress/flate keeps
// what it has decoded until its window is full or a block ends; over COMPRESS=DEFLATE (RFC
// 4978) that is a command which never arrives, since clients flush in the middle of a
// block (Z_PARTIAL_FLUSH).
//
// What must stay true: Read returns all that can be decoded of the octets received
// before it waits for more; input of any kind ends in output or an error, never in a panic
// or a loop; memory grows with what was received, up to the window of 32 KiB.
//
// RFC 1951.
package deflate
