// Command bench measures Facteur against Debian's Postfix and Dovecot (LMTP to Maildir), turn by turn
// on the same machine in the same run, over loopback, with the protocols only: it knows nothing of
// the inside of either. It prints a table and can write it to docs/performance.md.
//
// What must stay true: both sides get the same octets by the same client code; an acknowledged
// message counts only once IMAP shows it; nothing old is deleted between runs, since removing
// files slows later syncs on some disks; medians are of alternating runs.
package main
