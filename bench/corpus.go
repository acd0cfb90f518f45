package main

import (
	"fmt"
	"math/rand/v2"
	"strings"
)

// corpus makes mail of a wanted size, always the same for the same number: text of common words, one
// in four with a second part in HTML, subjects and authors that differ.
type corpus struct{ size int }

var words = strings.Fields(`the of and to in a is that for it as was with be by on not he his but at are this have
from or had an they which one you were her all she there would their we him been has when who will more no if out
so said what up its about into than them can only other new some could time these two may then do first any my now
such like our over man me even most made after also did many before must through back years where much your way well
down should because each just those people how too little state good very make world still own see men work long get
here between both life being under never day same another know while last might us great old year off come since
against go came right used take three invoice meeting parcel garden holiday recipe contract ticket railway library`)

// rareWord stands in the text of one message in a thousand, and nowhere else.
const rareWord = "xylographer"

func (c corpus) message(i int) []byte {
	rnd := rand.New(rand.NewPCG(uint64(i), 7))
	var b strings.Builder
	b.Grow(c.size + 512)
	author := words[rnd.IntN(len(words))]
	fmt.Fprintf(&b, "From: %s Writer <%s.%d@sender.test>\r\nTo: Bob <%s>\r\n", author, author, i%500, user)
	fmt.Fprintf(&b, "Subject: %s %s %s %d\r\nDate: Mon, %02d Jun 2026 %02d:%02d:%02d +0200\r\n",
		words[rnd.IntN(len(words))], words[rnd.IntN(len(words))], words[rnd.IntN(len(words))], i, 1+i%28, i%24, i%60, (i/60)%60)
	fmt.Fprintf(&b, "Message-ID: <%d.%d@sender.test>\r\nMIME-Version: 1.0\r\n", i, c.size)
	if i%4 != 0 {
		b.WriteString("Content-Type: text/plain; charset=utf-8\r\n\r\n")
		c.text(&b, rnd, i, c.size)
		return []byte(b.String())
	}
	b.WriteString("Content-Type: multipart/alternative; boundary=\"b0undary\"\r\n\r\n--b0undary\r\nContent-Type: text/plain; charset=utf-8\r\n\r\n")
	c.text(&b, rnd, i, c.size/2)
	b.WriteString("--b0undary\r\nContent-Type: text/html; charset=utf-8\r\n\r\n<html><body><p>\r\n")
	c.text(&b, rnd, -1, c.size-40)
	b.WriteString("</p></body></html>\r\n--b0undary--\r\n")
	return []byte(b.String())
}

// text writes lines of words until b has the given length.
func (c corpus) text(b *strings.Builder, rnd *rand.Rand, i, until int) {
	if i >= 0 && i%1000 == 500 {
		b.WriteString("A " + rareWord + " lives here.\r\n")
	}
	for b.Len() < until {
		line := 0
		for line < 68 {
			w := words[rnd.IntN(len(words))]
			b.WriteString(w)
			b.WriteByte(' ')
			line += len(w) + 1
		}
		b.WriteString("\r\n")
	}
}
