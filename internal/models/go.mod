module github.com/leatgo/leat/internal/models

go 1.26.0

replace github.com/leatgo/leat => ../..

require (
	github.com/leatgo/leat v0.0.0-00010101000000-000000000000
	pgregory.net/rapid v1.3.0
)
