// Package confluent reads and registers schemas in a registry with the REST API of Confluent's
// Schema Registry: that of Confluent, of Apicurio (at /apis/ccompat/v7), of Redpanda and of
// Karapace, and schema.Handler.
//
//	registry, err := confluent.New(&confluent.Options{URLs: []string{"https://registry.example.com"}, User: user, Password: password})
//	enforcer, err := schema.NewEnforcer(registry, &schema.EnforcerOptions{ ... })
//	...
//	err = enforcer.Warm(ctx)
//
// A service reads. Registering belongs into the build of who owns the schema.
package confluent
