package main

import (
	"flag"
	"fmt"
	"html"
	"math"
	"net/url"
	"os"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/leatgo/leat/internal/brokertest"
	"github.com/stretchr/testify/require"
)

var (
	picture    = flag.String("picture", "", "draw the board's panels into this SVG file")
	pictureFor = flag.Duration("picture-for", time.Minute, "how long to watch before that")
)

// TestDrawTheBoard draws the panels of the board from the answers of a real Prometheus, for the
// documentation: make board-picture. Grafana is not needed for it.
func TestDrawTheBoard(t *testing.T) {
	if *picture == "" {
		t.Skip("without -picture there is nothing to draw")
	}
	prometheus := brokertest.StartPrometheus(t, start(t), boardFolder+"alerts.yml")
	time.Sleep(*pictureFor) // what is drawn is this time
	d := drawing{t: t, prometheus: prometheus, to: time.Now()}
	for _, p := range readBoard(t).Panels {
		d.panel(p)
	}
	require.NoError(t, os.WriteFile(*picture, []byte(d.svg()), 0o600))
}

// The scale of the picture, in points for a unit of Grafana's grid.
const (
	unitWidth, unitHeight = 50, 22
	margin, head          = 12, 20
)

type drawing struct {
	t          *testing.T
	prometheus string
	to         time.Time
	body       strings.Builder
	height     int
}

func (d *drawing) svg() string {
	return fmt.Sprintf(`<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 %d %d" font-family="sans-serif" font-size="11">
<rect width="100%%" height="100%%" fill="#f4f5f5"/>
%s</svg>
`, 24*unitWidth, d.height, d.body.String())
}

func (d *drawing) printf(format string, args ...any) { fmt.Fprintf(&d.body, format+"\n", args...) }

func (d *drawing) panel(p panel) {
	x, y, w, h := p.GridPos.X*unitWidth, p.GridPos.Y*unitHeight, p.GridPos.W*unitWidth, p.GridPos.H*unitHeight
	d.height = max(d.height, y+h)
	if p.Type == "row" {
		d.printf(`<text x="%d" y="%d" font-size="14" font-weight="bold">%s</text>`, x+margin, y+16, html.EscapeString(p.Title))
		return
	}
	d.printf(`<rect x="%d" y="%d" width="%d" height="%d" fill="#fff" stroke="#d8d9da"/>`, x+2, y+2, w-4, h-4)
	d.printf(`<text x="%d" y="%d" font-weight="bold">%s</text>`, x+margin, y+18, html.EscapeString(p.Title))
	var lines []line
	for _, target := range p.Targets {
		lines = append(lines, d.ask(target)...)
	}
	d.lines(lines, p.FieldConfig.Defaults.Unit, x+margin+40, y+head+10, w-2*margin-40, h-head-50)
	at := x + margin
	for i, l := range lines {
		width := 18 + 7*len(l.name)
		if at+width > x+w {
			break
		}
		d.printf(`<rect x="%d" y="%d" width="8" height="3" fill="%s"/><text x="%d" y="%d" fill="#555">%s</text>`,
			at, y+h-14, color(i), at+11, y+h-9, html.EscapeString(l.name))
		at += width
	}
}

// line is one series.
type line struct {
	name string
	at   []time.Time
	y    []float64
}

// ask returns the series of a query over the time of the picture.
func (d *drawing) ask(target target) []line {
	query := url.Values{
		"query": {ask(target.Expr)}, "start": {unix(d.to.Add(-*pictureFor))}, "end": {unix(d.to)}, "step": {"1"},
	}
	var lines []line
	for _, r := range tell(d.t, d.prometheus+"/api/v1/query_range?"+query.Encode()).Data.Result {
		l := line{name: target.LegendFormat}
		for name, value := range r.Metric {
			l.name = strings.ReplaceAll(l.name, "{{"+name+"}}", value)
		}
		l.name = strings.TrimSpace(strings.NewReplacer("{{error_type}}", "ok", "{{cloudevents_event_type}}", "").Replace(l.name))
		for _, v := range r.Values {
			seconds, _ := v[0].(float64)
			text, _ := v[1].(string)
			if y, err := strconv.ParseFloat(text, 64); err == nil && !math.IsNaN(y) {
				l.at, l.y = append(l.at, time.UnixMilli(int64(seconds*1000))), append(l.y, y)
			}
		}
		lines = append(lines, l)
	}
	slices.SortFunc(lines, func(a, b line) int { return strings.Compare(a.name, b.name) })
	return lines
}

// lines draws series into a box.
func (d *drawing) lines(lines []line, unit string, x, y, w, h int) {
	most := 0.0
	for _, l := range lines {
		most = max(most, slices.Max(append(l.y, 0)))
	}
	if most == 0 {
		most = 1
	}
	for i := range 3 {
		value := most * float64(i) / 2
		at := float64(y+h) - float64(h)*float64(i)/2
		d.printf(`<path d="M%d %.1fh%d" stroke="#e4e5e6"/><text x="%d" y="%.1f" fill="#777" text-anchor="end">%s</text>`,
			x, at, w, x-4, at+4, short(value, unit))
	}
	begin := d.to.Add(-*pictureFor)
	for i, l := range lines {
		var points []string
		for k := range l.at {
			points = append(points, fmt.Sprintf("%.1f,%.1f", float64(x)+float64(w)*l.at[k].Sub(begin).Seconds()/pictureFor.Seconds(),
				float64(y+h)-float64(h)*l.y[k]/most))
		}
		d.printf(`<polyline points="%s" fill="none" stroke="%s" stroke-width="1.5"/>`, strings.Join(points, " "), color(i))
	}
}

func unix(t time.Time) string { return strconv.FormatFloat(float64(t.UnixMilli())/1000, 'f', 3, 64) }

// short returns a value with its unit, as Grafana shows it.
func short(value float64, unit string) string {
	switch unit {
	case "s":
		if value < 1 {
			return strconv.FormatFloat(1000*value, 'g', 3, 64) + " ms"
		}
		return strconv.FormatFloat(value, 'g', 3, 64) + " s"
	case "percentunit":
		return strconv.FormatFloat(100*value, 'g', 2, 64) + " %"
	}
	return strconv.FormatFloat(value, 'g', 3, 64)
}

func color(i int) string {
	colors := []string{"#56a64b", "#f2cc0c", "#3274d9", "#e02f44", "#8f3bb8", "#ff780a", "#37872d", "#5195ce", "#a352cc", "#c15c17"}
	return colors[i%len(colors)]
}
