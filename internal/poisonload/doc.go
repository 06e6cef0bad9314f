// Package poisonload tests, for adapters, that what a poison queue cannot take as it is, or
// refuses, holds up nothing else.
package poisonload
