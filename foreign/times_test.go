package foreign_test

import (
	"testing"

	"github.com/leatgo/leat/foreign"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// TestTimes has what becomes of each form of time; empty is what cannot be read.
func TestTimes(t *testing.T) {
	t.Parallel()
	for text, want := range map[string]string{
		"1732788930":                      "2024-11-28T10:15:30Z",
		"1732788930123":                   "2024-11-28T10:15:30.123Z",
		"99999999999":                     "5138-11-16T09:46:39Z",
		"100000000000":                    "1973-03-03T09:46:40Z",
		"1732788930.5":                    "2024-11-28T10:15:30.5Z",
		"0.000000001":                     "1970-01-01T00:00:00.000000001Z",
		"99999999":                        "",
		"1732788930.":                     "",
		"1732788930.0123456789":           "",
		"173278893012.5":                  "",
		"1732788930123456":                "",
		"-1732788930":                     "",
		"+1732788930":                     "",
		".5":                              "",
		"2024-11-28T10:15Z":               "2024-11-28T10:15:00Z",
		"2024-11-28T10:15+02:00":          "2024-11-28T10:15:00+02:00",
		"2024-11-28 10:15":                "2024-11-28T10:15:00Z",
		"2024-11-28T10:15:30":             "2024-11-28T10:15:30Z",
		"2024-11-28T10:15:30.1234567":     "2024-11-28T10:15:30.1234567Z",
		"2024-11-28T10:15:30.0123456789":  "2024-11-28T10:15:30.0123456789Z",
		"2024-11-28T10:15:30,5+0130":      "2024-11-28T10:15:30.5+01:30",
		"2024-11-28T10:15:30-08":          "2024-11-28T10:15:30-08:00",
		"2024-11-28T10:15:30 +0000":       "2024-11-28T10:15:30+00:00",
		"2024-11-28T10:15:30GMT":          "2024-11-28T10:15:30Z",
		"2024-11-28T10:15:30 UTC":         "2024-11-28T10:15:30Z",
		"2024-11-28T10:15:30 gmt+1":       "2024-11-28T10:15:30+01:00",
		"2024-11-28T10:15:30 UTC+01:30":   "2024-11-28T10:15:30+01:30",
		"2024-11-28T10:15:30 EST":         "2024-11-28T10:15:30-05:00",
		"2024-11-28T10:15:30Z[UTC]":       "2024-11-28T10:15:30Z",
		"2024-11-28T10:15:30[UTC]":        "2024-11-28T10:15:30Z",
		"2024-07-01T10:15 Europe/Berlin":  "2024-07-01T10:15:00+02:00",
		"2024-12-01T10:15[Europe/Berlin]": "2024-12-01T10:15:00+01:00",
		"2024-10-27T02:30 Europe/Berlin":  "", // there twice
		"2024-03-31T02:30 Europe/Berlin":  "", // not there
		"2024-11-28T10:15:30 Local/Time":  "",
		"2024-11-28T10:15:30 Local":       "",
		"2024-11-28T10:15:30 CET":         "",
		"2024-11-28T10:15:30 ../etc/x":    "",
		"2024-11-28T10:15:30+1:2":         "",
		"2024-11-28T10:15:30+25:00":       "",
		"2024-11-28T10:15:30+":            "",
		"2024-11-28T10:15:30.Z":           "",
		"2024-11-28T10:15:30Z[":           "",
		"2024-11-28T10:15:30[]":           "",
		"2024-11-28T24:00:00":             "",
		"2024-02-30T10:15:30":             "",
		"2024-11-28T10:15:":               "",
		"2024-11-28":                      "",
		"Thu, 28 Nov 2024 10:15:30 GMT":   "2024-11-28T10:15:30Z",
		"Thu, 8 Nov 2024 10:15:30 +0100":  "2024-11-08T10:15:30+01:00",
		"Thu Nov 28 10:15:30 PST 2024":    "2024-11-28T10:15:30-08:00",
		"Thu Nov 28 10:15:30 IST 2024":    "",
		"yesterday":                       "",
		"\u0661":                          "",
	} {
		t.Run(text, func(t *testing.T) {
			t.Parallel()
			e, err := foreign.Lenient(nil)(spellings()["Kafka"].inHeaders("time", text))
			if want == "" {
				require.ErrorIs(t, err, errRefused)
				return
			}
			require.NoError(t, err)
			assert.Equal(t, want, e.TimeString())
			assert.Contains(t, leatRepaired(e), text, "the original is there")
		})
	}
}

// TestTimesThatNeedNoRepair stay as they are, whatever else is repaired.
func TestTimesThatNeedNoRepair(t *testing.T) {
	t.Parallel()
	for _, text := range []string{
		"2024-11-28T10:15:30Z", "2024-11-28t10:15:30.5z", "2024-11-28T23:59:60Z", "2024-11-28T10:15:30-00:00",
		"0000-01-01T00:00:00.000000000000Z",
	} {
		e, err := foreign.Lenient(nil)(spellings()["Kafka"].inHeaders("time", text, "subject", ""))
		require.NoError(t, err)
		assert.Equal(t, text, e.TimeString())
		assert.Equal(t, "subject: empty, removed", leatRepaired(e))
	}
}
