package oauthtest

import (
	"html/template"
	"net/http"
	"net/url"
)

const formPost = "form_post" // the response_mode of OAuth 2.0 Form Post Response Mode

var formPage = template.Must(template.New("").Parse(`<!DOCTYPE html>
<html><head><title>Submit This Form</title></head>
<body onload="document.forms[0].submit()"><form method="post" action="{{.Target}}">
{{range $name, $values := .Back}}{{range $values}}<input type="hidden" name="{{$name}}" value="{{.}}">
{{end}}{{end}}</form></body></html>
`))

// sendForm sends the page that brings the user back by a POST.
func sendForm(w http.ResponseWriter, target string, back url.Values) {
	w.Header().Set("Content-Type", "text/html; charset=utf-8")
	_ = formPage.Execute(w, struct {
		Target string
		Back   url.Values
	}{target, back})
}
