package score_test

import (
	"os"
	"path/filepath"
	"testing"

	"github.com/leatgo/leat/internal/mutants/score"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

func TestUpdateKeepsWhatIsKnown(t *testing.T) {
	path := filepath.Join(t.TempDir(), "mutants", "a.json")
	known := []string{"a", "b", "c"}
	for _, name := range []string{"c", "gone", "a"} {
		m := score.Mutant{Name: name, What: "<x>", Kind: "y", Cases: []string{"one"}, Runs: 1, Caught: 1}
		require.NoError(t, score.Update(path, "kafka", m, append(known, name)))
	}
	require.NoError(t, score.Update(path, "kafka", score.Mutant{Name: "b", Reason: "z"}, known))
	require.NoError(t, score.Update(path, "kafka", score.Mutant{Name: "a", Cases: []string{"one"}, Runs: 10, Caught: 9}, known))
	s, err := score.Read(path)
	require.NoError(t, err)
	assert.Equal(t, &score.Score{Adapter: "kafka", Mutants: []score.Mutant{
		{Name: "a", Cases: []string{"one"}, Runs: 10, Caught: 9}, {Name: "b", Reason: "z"},
		{Name: "c", What: "<x>", Kind: "y", Cases: []string{"one"}, Runs: 1, Caught: 1},
	}}, s)
}

func TestScoresThatAreNotWholeAreRefused(t *testing.T) {
	path := filepath.Join(t.TempDir(), "a.json")
	for _, text := range []string{
		`{`, `{}`, `{"adapter":"a"}`, `{"adapter":"a","mutants":[{"name":"b"}]}`, `{"adapter":"a","mutants":[{"name":"b","runs":1}]}`,
		`{"adapter":"a","mutants":[{"name":"b","cases":["x"],"runs":1,"reason":"x"}]}`,
	} {
		require.NoError(t, os.WriteFile(path, []byte(text), 0o600))
		_, err := score.Read(path)
		require.ErrorContains(t, err, "a.json", text)
	}
}
