package main

import "fmt"

func Example_main() {
	main()
	fmt.Println("done")
	// Output:
	// com.example.order.placed.v1: charge 1250 cents for order A-17
	// done
}
