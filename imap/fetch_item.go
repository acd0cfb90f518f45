package imap

import (
	"facteur/imap/wire"
	"facteur/storage"
)

// fetchAttr is a data item of FETCH (RFC 9051 6.4.5).
type fetchAttr uint8

const (
	attrUID fetchAttr = iota
	attrFlags
	attrInternalDate
	attrSize
	attrModSeq   // RFC 7162
	attrEmailID  // RFC 8474
	attrThreadID // RFC 8474
	attrSaveDate // RFC 8514
	attrPreview  // RFC 8970
	attrEnvelope
	attrBody
	attrBodyStructure
	attrSection // BODY[...]
	attrBinary  // RFC 3516
	attrBinarySize
	attrRFC822 // RFC 3501
	attrRFC822Header
	attrRFC822Text
)

// fetchItem is one data item that a client asks for.
type fetchItem struct {
	attr    fetchAttr
	section section // of attrSection, attrBinary, attrBinarySize and RFC 3501's three
	partial *partial
	peek    bool // doesn't set \Seen
	lazy    bool // PREVIEW (LAZY)
}

// needs says where an item's value comes from, besides the mailbox's table.
func (i fetchItem) needs() (index, content bool) {
	switch i.attr {
	case attrUID, attrFlags, attrInternalDate, attrSize, attrModSeq:
		return false, false
	case attrSection, attrBinary, attrBinarySize, attrRFC822, attrRFC822Header, attrRFC822Text:
		return !i.whole(), true
	}
	return true, false
}

// whole reports whether i is the message itself, for which no structure is needed.
func (i fetchItem) whole() bool {
	return i.attr == attrRFC822 || i.attr == attrSection && len(i.section.path) == 0 && i.section.text == sectionAll
}

// setsSeen reports whether fetching i sets \Seen (RFC 9051 6.4.5).
func (i fetchItem) setsSeen() bool {
	switch i.attr {
	case attrSection, attrBinary, attrRFC822, attrRFC822Text:
		return !i.peek
	}
	return false
}

// fetchRequest is what follows the set in FETCH.
type fetchRequest struct {
	items        []fetchItem
	changedSince *storage.ModSeq // RFC 7162 3.1.4.1
	vanished     bool            // RFC 7162 3.2.6
	partial      *wire.Partial   // RFC 9394 3.3
}

// maxFetchItems is how many items one FETCH may ask for.
const maxFetchItems = 1000

// parseFetchRequest reads a macro, one item, or a list of items, and the modifiers that
// may follow.
func parseFetchRequest(d *wire.Decoder) fetchRequest {
	var r fetchRequest
	if d.Peek() == '(' {
		r.items = parseFetchItems(d)
	} else {
		r.items = parseFetchItem(d, true)
	}
	for d.Err() == nil && d.Take(' ') && !d.AtEnd() {
		d.List(func() { r.parseModifier(d) })
	}
	return r
}

func (r *fetchRequest) parseModifier(d *wire.Decoder) {
	switch word := d.Keyword(); {
	case word == "CHANGEDSINCE":
		d.SP()
		since := storage.ModSeq(d.Number64())
		r.changedSince = &since
	case word == "VANISHED":
		r.vanished = true
	case word == "PARTIAL":
		d.SP()
		partial := d.Partial()
		r.partial = &partial
	case word == "LAZY" && len(r.items) == 1 && r.items[0].attr == attrPreview:
		r.items[0].lazy = true
	case d.Err() == nil:
		d.Fail("unknown FETCH modifier %s", word)
	}
}

// parseFetchItems reads a list of items. No item begins with a parenthesis: one that
// follows PREVIEW holds its modifier (RFC 8970 3.1).
func parseFetchItems(d *wire.Decoder) []fetchItem {
	var items []fetchItem
	d.Open()
	for d.Err() == nil {
		if last := len(items) - 1; last >= 0 && items[last].attr == attrPreview && d.Peek() == '(' {
			items[last].lazy = parseLazy(d)
		} else {
			items = append(items, parseFetchItem(d, false)...)
		}
		if len(items) > maxFetchItems {
			d.Fail("too many items")
		}
		if d.Close() {
			break
		}
		d.SP()
	}
	return items
}

func parseLazy(d *wire.Decoder) bool {
	d.List(func() {
		if word := d.Keyword(); word != "LAZY" && d.Err() == nil {
			d.Fail("unknown PREVIEW modifier %s", word)
		}
	})
	return true
}

// parseFetchItem reads one item; a macro (RFC 9051 6.4.5), which is only allowed alone,
// gives several.
func parseFetchItem(d *wire.Decoder, macros bool) []fetchItem {
	word := d.Word()
	if macros {
		fast := []fetchItem{{attr: attrFlags}, {attr: attrInternalDate}, {attr: attrSize}}
		switch word {
		case "FAST":
			return fast
		case "ALL":
			return append(fast, fetchItem{attr: attrEnvelope})
		case "FULL":
			return append(fast, fetchItem{attr: attrEnvelope}, fetchItem{attr: attrBody})
		}
	}
	item := fetchItem{}
	bracket := d.Err() == nil && d.Peek() == '['
	switch {
	case bracket && (word == "BODY" || word == "BODY.PEEK"):
		item = fetchItem{attr: attrSection, peek: word == "BODY.PEEK", section: parseSection(d)}
	case bracket && (word == "BINARY" || word == "BINARY.PEEK"):
		item = fetchItem{attr: attrBinary, peek: word == "BINARY.PEEK", section: parseSection(d)}
	case bracket && word == "BINARY.SIZE":
		return []fetchItem{{attr: attrBinarySize, section: parseSection(d)}}
	default:
		return []fetchItem{parsePlainItem(d, word)}
	}
	if item.attr == attrBinary && item.section.text != sectionAll {
		d.Fail("BINARY takes part numbers only")
	}
	item.partial = parsePartial(d)
	return []fetchItem{item}
}

func parsePlainItem(d *wire.Decoder, word string) fetchItem {
	attrs := map[string]fetchAttr{
		"UID": attrUID, "FLAGS": attrFlags, "INTERNALDATE": attrInternalDate, "RFC822.SIZE": attrSize,
		"MODSEQ": attrModSeq, "EMAILID": attrEmailID, "THREADID": attrThreadID, "SAVEDATE": attrSaveDate,
		"PREVIEW": attrPreview, "ENVELOPE": attrEnvelope, "BODY": attrBody, "BODYSTRUCTURE": attrBodyStructure,
		"RFC822": attrRFC822, "RFC822.HEADER": attrRFC822Header, "RFC822.TEXT": attrRFC822Text,
	}
	attr, ok := attrs[word]
	if !ok && d.Err() == nil {
		d.Fail("unknown item %s", word)
	}
	item := fetchItem{attr: attr}
	switch attr {
	case attrRFC822Header:
		item.section.text = sectionHeader
	case attrRFC822Text:
		item.section.text = sectionBody
	}
	return item
}

// parsePartial reads "<from.length>", if there is one.
func parsePartial(d *wire.Decoder) *partial {
	if d.Err() != nil || d.AtEnd() || !d.Take('<') {
		return nil
	}
	p := partial{from: int64(d.Number64())}
	d.Expect('.')
	p.length = int64(d.Number64())
	if p.length == 0 && d.Err() == nil {
		d.Fail("length of a partial fetch can't be 0")
	}
	d.Expect('>')
	return &p
}
