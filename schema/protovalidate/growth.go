package protovalidate

import (
	"errors"
	"fmt"

	"cel.dev/cel-go/common/ast"
)

const (
	// maxGrowth is how many times the data may be in the outcome of an expression.
	maxGrowth = 64
	// maxConstant bounds the bytes of separators and replacements.
	maxConstant = 16
)

// growing are functions whose outcome may be much larger than what they get. What they cost is
// known only when they have made it.
var growing = map[string]bool{"join": true, "format": true, "replace": true}

// variables are those of an expression. A loop may not have one with the same name, because what
// counts as a constant is known by its name.
var variables = map[string]bool{"this": true, "rule": true, "rules": true, "now": true}

// growthFault returns why an expression may make very much of the data in one step. What takes many
// steps is found when they are counted.
//
// It refuses more than it has to: all names count as if each were all of the data, and all growing
// functions as if each got what the others make.
func growthFault(root ast.Expr) (err error) {
	names, factor, grows := 0, 1, false
	refuse := func(why error) {
		if err == nil {
			err = why
		}
	}
	visit(root, func(n ast.Expr) {
		switch n.Kind() {
		case ast.IdentKind:
			names++
		case ast.ComprehensionKind:
			refuse(loopFault(n.AsComprehension()))
		case ast.CallKind:
			call := n.AsCall()
			if call.FunctionName() == "matches" && !isConstant(call.Args()[len(call.Args())-1]) {
				refuse(errors.New("the pattern of matches is not a constant"))
			}
			if !growing[call.FunctionName()] {
				return
			}
			grows = true
			if hasLoop(n) {
				refuse(errLoop(call.FunctionName()))
			}
			more, why := factorOf(call)
			refuse(why)
			factor = min(factor*more, maxGrowth+1)
		case ast.ListKind, ast.LiteralKind, ast.MapKind, ast.SelectKind, ast.StructKind, ast.UnspecifiedExprKind:
		}
	})
	if grows && max(names, 1)*factor > maxGrowth {
		refuse(fmt.Errorf("its outcome may be the data more than %d times", maxGrowth))
	}
	return err
}

// loopFault returns why a loop is refused. What it goes through is made once, and may be of a
// growing function.
func loopFault(loop ast.ComprehensionExpr) (err error) {
	for _, name := range []string{loop.IterVar(), loop.IterVar2(), loop.AccuVar()} {
		if variables[name] {
			return fmt.Errorf("a loop has a variable with the name %s, which stands for something else", name)
		}
	}
	for _, part := range []ast.Expr{loop.AccuInit(), loop.LoopCondition(), loop.LoopStep(), loop.Result()} {
		visit(part, func(n ast.Expr) {
			if n.Kind() == ast.CallKind && growing[n.AsCall().FunctionName()] {
				err = errLoop(n.AsCall().FunctionName())
			}
		})
	}
	return err
}

func errLoop(function string) error {
	return fmt.Errorf("%s and a loop (all, exists, filter, map) are inside one another", function)
}

// factorOf returns how much larger than its arguments the outcome of a growing function may be.
func factorOf(call ast.CallExpr) (factor int, err error) {
	name, args := call.FunctionName(), call.Args()
	var constant ast.Expr
	switch {
	case name == "format": // CEL bounds the widths in a constant
		if _, ok := literal(call.Target()); !ok {
			return 1, errors.New("the text of format is not a constant")
		}
		return 1, nil
	case name == "join" && len(args) > 0:
		constant = args[0]
	case name == "replace" && len(args) > 1:
		constant = args[1]
	default:
		return 1, nil
	}
	text, ok := literal(constant)
	if !ok || len(text) > maxConstant {
		return 1, fmt.Errorf("the separator of join or the replacement of replace is not a constant of at most %d bytes", maxConstant)
	}
	return len(text) + 1, nil
}

// isConstant reports whether n is a text of the schema: a literal, or a value of a predefined rule.
func isConstant(n ast.Expr) bool {
	if n.Kind() == ast.SelectKind {
		n = n.AsSelect().Operand()
	}
	return n.Kind() == ast.LiteralKind || n.Kind() == ast.IdentKind && (n.AsIdent() == "rule" || n.AsIdent() == "rules")
}

func literal(n ast.Expr) (text string, ok bool) {
	if n.Kind() != ast.LiteralKind {
		return "", false
	}
	text, ok = n.AsLiteral().Value().(string)
	return text, ok
}

func hasLoop(n ast.Expr) (found bool) {
	visit(n, func(n ast.Expr) { found = found || n.Kind() == ast.ComprehensionKind })
	return found
}

// visit calls f for n and for all expressions in it.
func visit(n ast.Expr, f func(n ast.Expr)) { ast.PreOrderVisit(n, ast.NewExprVisitor(f)) }
