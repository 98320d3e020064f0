package rediskeys

// Match reports whether a key matches a Redis glob, as SCAN MATCH has it: * any bytes, ? one, [a-c]
// one of a set, [^a] one of none, and \ before a byte that means itself. It is for stores in
// memory.
func Match(glob, key string) bool {
	for len(glob) > 0 {
		switch glob[0] {
		case '*':
			for len(glob) > 0 && glob[0] == '*' {
				glob = glob[1:]
			}
			for i := 0; i <= len(key); i++ {
				if Match(glob, key[i:]) {
					return true
				}
			}
			return false
		case '?':
			if key == "" {
				return false
			}
			glob, key = glob[1:], key[1:]
		case '[':
			if key == "" {
				return false
			}
			in, rest := inSet(glob[1:], key[0])
			if !in {
				return false
			}
			glob, key = rest, key[1:]
		default:
			if glob[0] == '\\' && len(glob) > 1 {
				glob = glob[1:]
			}
			if key == "" || key[0] != glob[0] {
				return false
			}
			glob, key = glob[1:], key[1:]
		}
	}
	return key == ""
}

// inSet reports whether a byte is in the set that a glob goes on with, and gives what follows the
// set.
func inSet(set string, b byte) (in bool, rest string) {
	not := set != "" && set[0] == '^'
	if not {
		set = set[1:]
	}
	for set != "" && set[0] != ']' {
		switch {
		case set[0] == '\\' && len(set) > 1:
			in = in || set[1] == b
			set = set[2:]
		case len(set) > 2 && set[1] == '-':
			in = in || min(set[0], set[2]) <= b && b <= max(set[0], set[2])
			set = set[3:]
		default:
			in = in || set[0] == b
			set = set[1:]
		}
	}
	if set != "" {
		set = set[1:]
	}
	return in != not, set
}
