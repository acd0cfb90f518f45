// Gui runs the programs with windows that people read their mail with against "facteur demo":
// Debian's Thunderbird under Xvfb, and Debian's Roundcube in headless Chromium.
//
//	go run ./test/gui thunderbird
//	go run ./test/gui roundcube
//
// Both are driven from inside, as their own makers test them: Thunderbird by Marionette, Chromium by
// WebDriver. The program does what a user would, and after each step Gui asks the server by IMAP
// whether it happened. The logs that the programs keep of their dialogues are read at the end: a
// command that Facteur called BAD fails the run.
//
// It takes root, because the programs are installed into a private root (test/debian), and downloads
// them at the first run. It is no part of "make test". What was seen stays in a folder that is told
// at the start: pictures of the screen after each step, the logs of the programs and of Facteur.
package main
