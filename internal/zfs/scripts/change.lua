-- Several changes in one transaction group, all or none.
--
-- The arguments are operations: promote CLONE, destroy DATASET, rollback
-- SNAPSHOT, set DATASET PROPERTY VALUE, inherit DATASET PROPERTY. Promotions
-- come first; they are done and, where anything after them cannot be done,
-- done backwards, so that all else is judged by ZFS itself in the state that
-- it will meet. Nothing is seen of that outside of the transaction group.
-- Returns nothing, or why nothing was changed.

local arity = {promote = 1, destroy = 1, rollback = 1, set = 3, inherit = 2}
local ops = {}
local argv = (...)["argv"]
local at = 1
while argv[at] ~= nil do
	local n = arity[argv[at]]
	assert(n ~= nil, "unknown operation")
	ops[#ops + 1] = {verb = argv[at], name = argv[at + 1], prop = argv[at + 2], value = argv[at + 3]}
	at = at + n + 1
end

local reasons = {[ENOENT] = "notfound", [EBUSY] = "busy", [ENOSPC] = "nospace", [EDQUOT] = "nospace"}

local function refuse(op, code, by)
	return {name = op.name, reason = reasons[code] or "ZFS refused", code = code, by = by or ""}
end

local function isSnapshot(name) return name:find("@", 1, true) ~= nil end

local function datasetOf(snapshot) return snapshot:match("^[^@]*") end

-- What was promoted, by the filesystem that it was a clone of.
local undo = {}

-- The snapshot of a clone that one of those to be moved to it would meet.
local function clash(clone, origin)
	local txg = zfs.get_prop(origin, "createtxg")
	for snapshot in zfs.list.snapshots(datasetOf(origin)) do
		local mine = clone .. snapshot:match("@.*$")
		if zfs.get_prop(snapshot, "createtxg") <= txg and zfs.exists(mine) then return mine end
	end
end

local function promote(op)
	if not zfs.exists(op.name) then return refuse(op, ENOENT) end
	local origin = zfs.get_prop(op.name, "origin")
	if origin == nil then
		return {name = op.name, reason = "not a cloned filesystem", code = EINVAL}
	end
	local code = zfs.sync.promote(op.name)
	if code == EEXIST then
		return {name = op.name, reason = "exists", by = clash(op.name, origin)}
	end
	if code ~= 0 then return refuse(op, code) end
	undo[#undo + 1] = datasetOf(origin)
end

local function goBack()
	for i = #undo, 1, -1 do
		local code = zfs.sync.promote(undo[i])
		assert(code == 0, "cannot promote " .. undo[i] .. " back")
	end
end

-- What is destroyed before the dataset at hand.
local gone = {}

-- Something that depends on a dataset and stays.
local function dependent(name)
	if isSnapshot(name) then
		for clone in zfs.list.clones(name) do
			if not gone[clone] then return clone end
		end
		return nil
	end
	for child in zfs.list.children(name) do
		if not gone[child] then return child end
	end
	for snapshot in zfs.list.snapshots(name) do
		if not gone[snapshot] then return snapshot end
	end
end

-- A dry run of destroy says EBUSY of a filesystem with snapshots too; of such
-- a one a dry run of rollback tells whether it is mounted.
local function busy(op)
	local code
	if not isSnapshot(op.name) then
		for _ in zfs.list.snapshots(op.name) do
			code = zfs.check.rollback(op.name)
			if code == EEXIST then
				return {name = op.name, reason = "a bookmark newer than its snapshots is in the way", code = code}
			end
			break
		end
	end
	if code == nil then code = zfs.check.destroy(op.name) end
	if code == EBUSY then return refuse(op, EBUSY) end
end

local check = {}

function check.destroy(op)
	if gone[op.name] or not zfs.exists(op.name) then return refuse(op, ENOENT) end
	local by = dependent(op.name)
	if by ~= nil then return {name = op.name, reason = "dependents", by = by} end
	gone[op.name] = true
	return busy(op)
end

function check.rollback(op)
	if gone[op.name] or not zfs.exists(op.name) then return refuse(op, ENOENT) end
	local fs = datasetOf(op.name)
	local txg = zfs.get_prop(op.name, "createtxg")
	local cleared = false
	for snapshot in zfs.list.snapshots(fs) do
		cleared = cleared or gone[snapshot]
		if not gone[snapshot] and zfs.get_prop(snapshot, "createtxg") > txg then
			return {name = op.name, reason = "newer", by = snapshot}
		end
	end
	-- A bookmark cannot be asked for its age. One that is older than the
	-- newest snapshot may still be newer than this one.
	local code = zfs.check.rollback(fs)
	for bookmark in zfs.list.bookmarks(fs) do
		if cleared or code == EEXIST then
			return {name = op.name, reason = "newer", by = bookmark}
		end
	end
	if code ~= 0 then return refuse(op, code) end
end

function check.set(op)
	if gone[op.name] or not zfs.exists(op.name) then return refuse(op, ENOENT) end
	local code = zfs.check.set_prop(op.name, op.prop, op.value)
	if code ~= 0 then return refuse(op, code) end
end

function check.inherit(op)
	if gone[op.name] or not zfs.exists(op.name) then return refuse(op, ENOENT) end
	local code = zfs.check.inherit(op.name, op.prop)
	if code ~= 0 then return refuse(op, code) end
end

check.promote = promote

local run = {
	promote = function() return 0 end,
	destroy = function(op) return zfs.sync.destroy(op.name) end,
	rollback = function(op) return zfs.sync.rollback(datasetOf(op.name)) end,
	set = function(op) return zfs.sync.set_prop(op.name, op.prop, op.value) end,
	inherit = function(op) return zfs.sync.inherit(op.name, op.prop) end,
}

for _, op in ipairs(ops) do
	local refused = check[op.verb](op)
	if refused ~= nil then
		goBack()
		return refused
	end
end
for _, op in ipairs(ops) do
	local code = run[op.verb](op)
	assert(code == 0, "cannot " .. op.verb .. " " .. op.name .. ": errno " .. code)
end
