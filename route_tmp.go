package leat

// Route says which [Handler] takes the events of a type, and by which topic they travel.
type Route struct {
	Type, Topic string
	Handler     Handler
}
