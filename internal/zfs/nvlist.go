package zfs

import "encoding/binary"

// nvlist is a list of named values as the kernel module takes it
// (libnvpair(3)): true for a name alone, uint64, string, or nvlist.
type nvlist []nvpair

type nvpair struct {
	name  string
	value any
}

// The types of values, from sys/nvpair.h; they are part of the format of
// pools and do not change.
const (
	typeBoolean = 1
	typeUint64  = 8
	typeString  = 9
	typeNvlist  = 19
)

// pack encodes a list in XDR, which unlike the native encoding is the same on
// every machine; the kernel tells them apart by the first byte.
func (l nvlist) pack() []byte {
	const xdr, littleEndian = 1, 1
	return l.append([]byte{xdr, littleEndian, 0, 0})
}

func (l nvlist) append(b []byte) []byte {
	const version, uniqueNames = 0, 1
	b = words(b, version, uniqueNames)
	for _, p := range l {
		start := len(b)
		b = words(b, 0, uint32(p.decodedSize()))
		b = text(b, p.name)
		switch v := p.value.(type) {
		case bool:
			b = words(b, typeBoolean, 0)
		case uint64:
			b = binary.BigEndian.AppendUint64(words(b, typeUint64, 1), v)
		case string:
			b = text(words(b, typeString, 1), v)
		case nvlist:
			b = v.append(words(b, typeNvlist, 1))
		default:
			panic("zfs: no such type in an nvlist")
		}
		binary.BigEndian.PutUint32(b[start:], uint32(len(b)-start))
	}
	return words(b, 0, 0)
}

// decodedSize is what the pair takes up in the kernel, which checks it: a
// header of 16 bytes, the name, the value, each aligned (NVP_SIZE_CALC).
func (p nvpair) decodedSize() int {
	size := 0
	switch v := p.value.(type) {
	case uint64:
		size = 8
	case string:
		size = len(v) + 1
	case nvlist:
		size = 24
	}
	return align(16+len(p.name)+1, 8) + align(size, 8)
}

func words(b []byte, list ...uint32) []byte {
	for _, w := range list {
		b = binary.BigEndian.AppendUint32(b, w)
	}
	return b
}

func text(b []byte, s string) []byte {
	b = append(words(b, uint32(len(s))), s...)
	return append(b, make([]byte, align(len(s), 4)-len(s))...)
}

func align(n, to int) int { return (n + to - 1) / to * to }
