"""What a trained model looks at and what goes on inside it: saliency, activations, projections, and one picture of all."""
