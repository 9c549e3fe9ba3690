package synclist

import (
	_ "embed"
	"fmt"
	"strings"
)

//go:embed debian.synclist
var debianText string

//go:embed solaris.synclist
var solarisText string

// DefaultText is the list for Debian, with the reason for each line in a
// comment.
func DefaultText() string { return debianText }

// SolarisText is the list that Live Upgrade had on Solaris 10, as an example.
func SolarisText() string { return solarisText }

// Default is the list for Debian.
func Default() List {
	list, err := Parse(strings.NewReader(debianText))
	if err != nil {
		panic(fmt.Sprintf("the built-in synclist: %v", err))
	}
	return list
}
