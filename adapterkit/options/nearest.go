package options

import "strings"

// farthest is how many letters a name may be off for its correction to be offered.
const farthest = 2

// nearest returns the name that somebody may have meant, or "" where none is near. It ignores case,
// '_' and '-'.
func nearest(name string, known []string) string {
	best, distance := "", farthest+1
	for _, k := range known {
		if d := apart(plain(name), plain(k)); d < distance && d <= len(k)/3 {
			best, distance = k, d
		}
	}
	return best
}

// plain returns a name without what people spell in different ways.
func plain(name string) string {
	return strings.NewReplacer("_", "", "-", "").Replace(strings.ToLower(name))
}

// apart returns how many bytes have to be inserted, dropped or changed to make b of a
// (Levenshtein), or more than farthest where that is clear from their lengths.
func apart(a, b string) int {
	if max(len(a), len(b))-min(len(a), len(b)) > farthest {
		return farthest + 1
	}
	row := make([]int, len(b)+1)
	for j := range row {
		row[j] = j
	}
	for i := range len(a) {
		diagonal := row[0]
		row[0] = i + 1
		for j := range len(b) {
			cost := diagonal
			if a[i] != b[j] {
				cost++
			}
			diagonal = row[j+1]
			row[j+1] = min(cost, row[j]+1, row[j+1]+1)
		}
	}
	return row[len(b)]
}
