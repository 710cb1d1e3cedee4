module example.org/hats

go 1.21
