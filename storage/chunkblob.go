package storage

import (
	"encoding/binary"
	"errors"
	"hash/crc32"
	"slices"
)

// A chunk in the index is one blob: a version, a checksum of the rest, then the
// records and the lengths of the BASEs, all little-endian, then the BASEs.
const (
	blobVersion = 1
	blobHead    = 1 + 4 + 4
	blobRec     = 32 + 1
)

var errBlob = errors.New("damaged row in the index")

func (c *chunk) appendBlob(b []byte) []byte {
	le := binary.LittleEndian
	start := len(b)
	b = slices.Grow(b, blobHead+len(c.recs)*blobRec+len(c.bases))
	b = append(b, blobVersion, 0, 0, 0, 0)
	b = le.AppendUint32(b, uint32(len(c.recs)))
	from := uint32(0)
	for i := range c.recs {
		r := &c.recs[i]
		b = le.AppendUint32(b, uint32(r.uid))
		b = le.AppendUint32(b, r.set)
		b = le.AppendUint64(b, uint64(r.modseq))
		b = le.AppendUint32(b, r.size)
		b = le.AppendUint32(b, r.lf)
		b = le.AppendUint64(b, uint64(r.internal))
		b = append(b, byte(c.ends[i]-from))
		from = c.ends[i]
	}
	b = append(b, c.bases[:from]...)
	le.PutUint32(b[start+1:], crc32.ChecksumIEEE(b[start+5:]))
	return b
}

func parseChunk(id UID, b []byte, sets []flagSet) (*chunk, error) {
	le := binary.LittleEndian
	if len(b) < blobHead || b[0] != blobVersion || le.Uint32(b[1:]) != crc32.ChecksumIEEE(b[5:]) {
		return nil, errBlob
	}
	n := int(le.Uint32(b[5:]))
	b = b[blobHead:]
	if n > chunkSize || len(b) < n*blobRec {
		return nil, errBlob
	}
	bases := b[n*blobRec:]
	c := &chunk{id: id, recs: make([]rec, n), ends: make([]uint32, n), bases: append([]byte(nil), bases...)}
	end := uint32(0)
	for i := range c.recs {
		r, p := &c.recs[i], b[i*blobRec:]
		r.uid = UID(le.Uint32(p))
		r.set = le.Uint32(p[4:])
		r.modseq = ModSeq(le.Uint64(p[8:]))
		r.size = le.Uint32(p[16:])
		r.lf = le.Uint32(p[20:])
		r.internal = int64(le.Uint64(p[24:]))
		end += uint32(p[32])
		c.ends[i] = end
		if int(r.setID()) >= len(sets) || r.lf > r.size || i > 0 && r.uid <= c.recs[i-1].uid {
			return nil, errBlob
		}
	}
	if int(end) != len(bases) {
		return nil, errBlob
	}
	c.recount(sets)
	return c, nil
}

// appendSets and parseSets keep the flag sets, by which the records name theirs.
func appendSets(b []byte, fs []string) []byte {
	for _, key := range fs {
		b = binary.AppendUvarint(b, uint64(len(key)))
		b = append(b, key...)
	}
	return b
}

func (fs *flagSets) parseSets(b []byte) error {
	for n := uint32(0); len(b) > 0; n++ {
		l, k := binary.Uvarint(b)
		if k <= 0 || uint64(len(b)-k) < l || l == 0 || l%2 == 0 {
			return errBlob
		}
		key := b[k : k+int(l)]
		b = b[k+int(l):]
		f := Flags{System: key[0]}
		for i := 1; i < len(key); i += 2 {
			index := int(key[i])<<8 | int(key[i+1])
			if index >= len(fs.keywords) {
				return errBlob
			}
			f.Keywords = append(f.Keywords, fs.keywords[index])
		}
		if got, err := fs.number(f); err != nil || got != n {
			return errBlob
		}
	}
	return nil
}
