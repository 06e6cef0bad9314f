package scenario

// race is the scenario of closed connections in a program with the race detector. Its caller counts
// the reports.
func race() Scenario {
	return Scenario{
		Name: "race", Title: "Data races on reconnects",
		What: "The scenario \"Connections closed under load\" in a program with Go's race detector. It must not report a data race.",
		Race: true,
		run:  cut,
	}
}
