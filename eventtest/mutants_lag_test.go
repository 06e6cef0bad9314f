package eventtest_test

import "github.com/leatgo/leat"

// lagMutants tell a wrong lag.
func lagMutants() []mutant {
	telling := func(name string, lag func(l leat.Lag) leat.Lag) mutant {
		return mutant{name: name, rule: "lag", wrap: bend(func(b *bent) { b.lag = lag })}
	}
	return []mutant{
		telling("does not count what is delivered", func(l leat.Lag) leat.Lag {
			l.Events -= l.Parts[0].Details["held"]
			l.Parts = nil
			return l
		}),
		telling("counts what the settled ones leave behind", func(l leat.Lag) leat.Lag {
			l.Events = max(l.Events, 3)
			l.Parts = nil
			return l
		}),
		telling("says that the oldest event is new because it does not know", func(l leat.Lag) leat.Lag {
			l.Oldest = 0
			return l
		}),
		telling("has parts that are not the whole", func(l leat.Lag) leat.Lag {
			l.Parts = append(l.Parts, leat.LagPart{Name: "more", Events: 1})
			return l
		}),
	}
}
