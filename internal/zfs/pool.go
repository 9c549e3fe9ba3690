package zfs

import (
	"context"
	"fmt"
	"slices"
	"strings"
)

// Pools is the promise of ZFS.
func (t *Tools) Pools(ctx context.Context) ([]string, error) {
	out, err := t.run(ctx, "pools", "", "zpool", "list", "-H", "-o", "name")
	if err != nil {
		return nil, err
	}
	pools := strings.Fields(string(out))
	slices.Sort(pools)
	return pools, nil
}

// PoolGet is the promise of ZFS.
func (t *Tools) PoolGet(ctx context.Context, pool string, props []string) (map[string]Property, error) {
	if err := check("pool get", []string{pool}, props...); err != nil {
		return nil, err
	}
	if len(props) == 0 {
		return map[string]Property{}, nil
	}
	var order []string
	for _, p := range props {
		if !slices.Contains(order, p) {
			order = append(order, p)
		}
	}
	// The columns are those of "zfs get": so is what is to be parsed.
	out, err := t.run(ctx, "pool get", pool,
		"zpool", "get", "-Hp", "-o", "name,property,value,source", "--", strings.Join(order, ","), pool)
	if err != nil {
		return nil, err
	}
	all, err := parseGet(string(out), order)
	if err == nil && len(all) != 1 {
		err = fmt.Errorf("zpool get told of %d pools", len(all))
	}
	if err != nil {
		return nil, &Error{Verb: "pool get", Name: pool, Err: err}
	}
	return all[0].Props, nil
}

// PoolSet is the promise of ZFS.
func (t *Tools) PoolSet(ctx context.Context, pool, prop, value string) error {
	if err := check("pool set", []string{pool}, prop); err != nil {
		return err
	}
	_, err := t.run(ctx, "pool set", pool, "zpool", "set", prop+"="+value, pool)
	return err
}

// Leaves is the promise of ZFS.
func (t *Tools) Leaves(ctx context.Context, pool string) ([]Leaf, error) {
	if err := check("leaves", []string{pool}); err != nil {
		return nil, err
	}
	out, err := t.run(ctx, "leaves", pool, "zpool", "status", "-P", "-L", "--", pool)
	if err != nil {
		return nil, err
	}
	leaves, err := parseStatus(string(out))
	if err != nil {
		return nil, &Error{Verb: "leaves", Name: pool, Err: err}
	}
	return leaves, nil
}
