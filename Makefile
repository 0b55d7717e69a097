# The same commands as in scripts/, for those who type make.
.PHONY: build quickstart clean-quickstart test lint bench fuzz
build:
	scripts/build
quickstart:
	scripts/quickstart
clean-quickstart:
	scripts/clean-quickstart
test:
	scripts/test
lint:
	scripts/lint
bench:
	scripts/bench
fuzz:
	scripts/fuzz
