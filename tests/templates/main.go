// Renders conversations with the template package of the real Ollama: reads a list of them, writes the prompts.
// What they are compared with is in compare.py.
package main

import (
	"bytes"
	"encoding/json"
	"fmt"
	"os"

	"github.com/ollama/ollama/api"
	"github.com/ollama/ollama/template"
)

type conversation struct {
	Template string        `json:"template"`
	Messages []api.Message `json:"messages"`
	Tools    api.Tools     `json:"tools"`
}

func render(c conversation) (string, error) {
	parsed, err := template.Parse(c.Template)
	if err != nil {
		return "", err
	}
	var prompt bytes.Buffer
	err = parsed.Execute(&prompt, template.Values{Messages: c.Messages, Tools: c.Tools})
	return prompt.String(), err
}

func main() {
	var conversations []conversation
	if err := json.NewDecoder(os.Stdin).Decode(&conversations); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
	prompts := []string{}
	for _, c := range conversations {
		prompt, err := render(c)
		if err != nil {
			fmt.Fprintln(os.Stderr, err)
			os.Exit(1)
		}
		prompts = append(prompts, prompt)
	}
	json.NewEncoder(os.Stdout).Encode(prompts)
}
