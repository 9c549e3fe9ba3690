package treecopy

import "encoding/binary"

// The extended attributes that hold POSIX ACLs on Linux.
const (
	accessACL  = "system.posix_acl_access"
	defaultACL = "system.posix_acl_default"
)

// ACLs are the names of those attributes in [Info].
var ACLs = []string{accessACL, defaultACL}

// InACL lists the numbers of the users and groups that an ACL has entries of
// their own for. What is no ACL in the form of Linux (version 2) has none.
func InACL(value string) (users, groups []int) {
	const (
		version, header, entry = 2, 4, 8
		tagUser, tagGroup      = 0x02, 0x08
	)
	b := []byte(value)
	if len(b) < header || binary.LittleEndian.Uint32(b) != version {
		return nil, nil
	}
	for b = b[header:]; len(b) >= entry; b = b[entry:] {
		id := int(binary.LittleEndian.Uint32(b[4:]))
		switch binary.LittleEndian.Uint16(b) {
		case tagUser:
			users = append(users, id)
		case tagGroup:
			groups = append(groups, id)
		}
	}
	return users, groups
}
