module portcullis/upstream

go 1.26
