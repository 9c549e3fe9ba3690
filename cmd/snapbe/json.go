package main

// schema is the version of what --json prints, as docs/json.md describes it.
// New keys may come without a new version; a key that goes away, or means
// something else, makes one.
const schema = 1
